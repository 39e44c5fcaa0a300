"""utils1/doctor.py and utils1/bench_loader.py: capabilities of this machine, and its loading speed."""
