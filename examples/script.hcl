# A shell script that prepares the environment and then starts a server. Without `exec` in the
# script the server is a child of the shell, and a signal to the shell does not reach it.
shutdown {
  deadline = "9s"
}

child "server" {
  command = "/bin/sh"
  args    = ["-c", "mkdir -p /tmp/cache && /usr/local/bin/server --cache /tmp/cache; echo server ended"]

  # The signal goes to the shell and to the server: both are in the child's process group.
  kill_scope = "group"

  # The child has stopped when no process of its tree is left.
  kill_sequence = [
    { signal = "SIGTERM", wait = "3s" },
    { signal = "SIGQUIT", wait = "1s" },
  ]

  # 143 is the exit code of a shell whose command was ended by SIGTERM.
  success_codes = [0, 143]
}
