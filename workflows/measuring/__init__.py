"""utils1/doctor.py and utils1/bench_loader.py: what this machine can do, and how fast it loads."""
