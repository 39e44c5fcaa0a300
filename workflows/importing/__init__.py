"""Settings of other projects in the options of this one."""
