# The application starts after the migration has completed with exit code 0. If the migration
# fails, everything stops and the exit code is not 0.
shutdown {
  deadline = "9s"
}

child "migrate" {
  command = "migrate" # looked up in PATH
  args    = ["up"]
  oneshot = true

  restart {
    on       = "failure"
    attempts = 3 # in each interval, for example while the database starts
    interval = "1m"
    delay    = "1s"
  }
}

child "app" {
  command    = "app"
  depends_on = [{ child = "migrate", until = "completed" }]

  ready {
    tcp     = "127.0.0.1:8080"
    timeout = "30s"
  }
}
