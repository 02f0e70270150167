# Two programs in one container, and an orderly end: the canary goes before the
# server that it talks to, and both within one deadline. No sidecar, no shell.

shutdown {
  deadline = "9s"
}

child "server" {
  command      = "server"
  kill_timeout = "5s"
  env = {
    SERVER_DRAIN_TIMEOUT = "3s"
  }
  ready {
    tcp = ":12345"
  }
}

# What a client sees, from inside. It is nobody's health.
child "canary" {
  command      = "client"
  depends_on   = ["server"]
  sidecar      = true
  on_failure   = "ignore"
  kill_timeout = "2s"
  env = {
    CLI_ID            = "canary"
    CLI_LOOP_AMOUNT   = 1000000000
    CLI_LOOP_PERIOD   = "30s"
    CLI_DRAIN_TIMEOUT = "1s"
  }
}
