# Two programs in one container. The supervisor stops the canary before the server that it uses, both
# within one deadline.

shutdown {
  deadline = "9s"
}

# /metrics for Prometheus. Everybody who reaches the pod can read it.
metrics {
  listen = ":9180"
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

# A client in the pod, for its log. The health of the pod does not depend on it.
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
