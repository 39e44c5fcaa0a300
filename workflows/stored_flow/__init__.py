"""utils1/flow_*.py and show_flow.py: flow on the disk compared, converted and shown."""
