"""Many worker processes on one machine: `tf-bdecay launch`, tools/launch.py."""
