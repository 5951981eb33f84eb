"""A run on disk: its `folder`, the `seals` of its files, the `machine`, and to `prepare` one."""
