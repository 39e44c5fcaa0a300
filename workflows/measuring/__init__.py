"""utils1/doctor.py, bench_loader.py and model_info.py: this machine, its loading, and the costs of networks."""
