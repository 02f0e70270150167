# A web server that ends gracefully by a command, with commands before its start, after its end and
# after its failure. docs/hooks.md lists the variables that each command gets.
shutdown {
  deadline = "30s"
}

child "web" {
  command      = "nginx"
  args         = ["-g", "daemon off;"]
  kill_timeout = "20s"

  stop {
    exec = ["nginx", "-s", "quit"] # in place of SIGTERM, in each stop, restart and reload
  }

  hooks {
    pre_start  = ["nginx", "-t"] # a failure is a failed start
    post_stop  = ["app", "remove-from-balancer"]
    on_failure = ["notify-ops"] # once no restart attempt is left
    timeout    = "5s"
  }

  ready {
    tcp     = "127.0.0.1:80"
    timeout = "5s"
  }
}
