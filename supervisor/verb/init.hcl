# The configuration of supervisor.
#
#   supervisor validate   prints every fault of this file
#   supervisor plan       prints the start order, the stop order and how long a stop can take
#   supervisor run        starts the children; Ctrl-C stops them

shutdown {
  # From the signal until no process is left. `docker stop` waits 10 s before it kills all.
  deadline = "9s"
}

child "app" {
  # The program, and its arguments. No shell reads them.
  command = "sh"
  args    = ["-c", "echo started; trap 'echo stopped; exit' TERM; while :; do sleep 1; done"]

  # env      = { PORT = "8080", HOME = env("HOME") }
  # env_file = ["app.env"]
  # cwd      = "/srv/app"
  # user     = "nobody"

  # When the child is ready. Children that depend on it start then.
  # ready {
  #   tcp     = "127.0.0.1:8080" # or http, exec, log, notify
  #   timeout = "10s"
  # }

  # A child that ends with a failure is restarted.
  restart {
    on       = "failure" # never, failure, always
    attempts = 5         # in each interval; then the child has failed, and all stop
    interval = "1m"
  }
}

# child "worker" {
#   command    = "worker"
#   count      = 2 # worker1 and worker2
#   depends_on = ["app"]
# }
