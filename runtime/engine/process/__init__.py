"""The embedded engine: tasks as supervised processes of this machine, where no container engine is. Linux.

What it honestly is not: there is no isolation. A task sees the machine's file system, network and processes,
runs the machine's programs (an image is only a name, except `hivemind/whoami`), and most limits are watched,
not enforced by the kernel: memory over the limit is seen within a tenth of a second and ends the task as out
of memory, a process count over the limit likewise. A CPU limit is the kernel's, by control groups, where we may
make them; elsewhere a warning is logged and there is none. `cpu_cores`, `memory_bytes` and `network` are only
the scheduler's here, and a stop signals the whole process group, not only the first process as Docker does.

Everything about a task lies in its directory under the data-dir, and a small shim process (`shim.py`) keeps
its output and exit code, so that a restarted daemon finds all of it again by looking.

    tasks/<engine id>/spec.json    what was asked for (ours)
                      run.json     what the shim shall run: argv, env, ports (ours)
                      shim.json    who runs: pids with their start times (the shim's)
                      exit.json    how it ended (the shim's)
                      log/<n>.log  its output (the shim's)
                      root/        its working directory, with a link for each mount at its target
    volumes/<name>/volume.json, data/
"""
