import hypothesis

# The first example of a test traces and compiles: its time says nothing.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
