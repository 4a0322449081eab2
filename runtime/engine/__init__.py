"""Container engines: one small interface (`base`), Docker behind it, and an embedded one."""
