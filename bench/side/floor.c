//go:build ignore

// The floor does the least that each workload needs. It has no configuration, no log, no fd ledger
// and no checks.
//
//   floor run N CMD ARG…      starts N children; at SIGTERM sends SIGTERM to each and reaps them
//   floor kill MS CMD ARG…    the same for one child, with SIGKILL after MS milliseconds
//   floor restart CMD ARG…    restarts one child each time it ends, until SIGTERM
//   floor raw|prefix|json N CMD ARG…   relays the output of N children to standard output
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

extern char **environ;
static posix_spawnattr_t plain;
static sigset_t handled;

static pid_t start(char **argv, int out) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  if (out >= 0) posix_spawn_file_actions_adddup2(&files, out, 1);
  pid_t pid;
  if ((errno = posix_spawn(&pid, argv[0], &files, &plain, argv, environ))) err(1, "%s", argv[0]);
  posix_spawn_file_actions_destroy(&files);
  return pid;
}

static int run(int n, char **argv, long kill_ms, int restart) {
  pid_t *pids = calloc(n, sizeof *pids);
  for (int i = 0; i < n; i++) pids[i] = start(argv, -1);
  int left = n, stopping = 0;
  struct timespec wait = {kill_ms / 1000, kill_ms % 1000 * 1000000}, *timeout = NULL;
  while (left > 0) {
    int s = sigtimedwait(&handled, NULL, timeout);
    if (s == SIGTERM) {
      stopping = 1;
      for (int i = 0; i < n; i++) kill(pids[i], SIGTERM);
      if (kill_ms) timeout = &wait;
    } else if (s < 0 && errno == EAGAIN) {
      for (int i = 0; i < n; i++) kill(pids[i], SIGKILL);
      timeout = NULL;
    }
    for (pid_t p; (p = waitpid(-1, NULL, WNOHANG)) > 0;) {
      int own = n == 1 && p == pids[0];
      if (restart && own && !stopping) pids[0] = start(argv, -1);
      else if (n > 1 || own) left--;
    }
  }
  return 0;
}

static char text[1 << 20];
static size_t used;

static void flush(void) {
  for (size_t at = 0; at < used;) {
    ssize_t n = write(1, text + at, used - at);
    if (n < 0) err(1, "write");
    at += n;
  }
  used = 0;
}

static void put(const char *s, size_t n) {
  memcpy(text + used, s, n);
  used += n;
}

static void escape(const char *s, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char c = s[i];
    if (c >= 0x20 && c != '"' && c != '\\' && c < 0x7f) text[used++] = c;
    else used += sprintf(text + used, "\\u%04x", c);
  }
}

static int relay(const char *how, int n, char **argv) {
  enum { SIZE = 1 << 16 };
  struct pollfd *p = calloc(n, sizeof *p);
  char (*line)[SIZE] = calloc(n, SIZE), (*name)[32] = calloc(n, 32);
  size_t *have = calloc(n, sizeof *have);
  for (int i = 0; i < n; i++) {
    int fd[2];
    if (pipe2(fd, O_CLOEXEC)) err(1, "pipe");
    start(argv, fd[1]);
    close(fd[1]);
    p[i] = (struct pollfd){fd[0], POLLIN, 0};
    sprintf(name[i], "[c%d] ", i + 1);
  }
  for (int open = n; open > 0;) {
    if (poll(p, n, -1) < 0) err(1, "poll");
    char stamp[160] = "";
    size_t stamped = 0;
    if (*how == 'j') {
      struct timespec t;
      struct tm tm;
      clock_gettime(CLOCK_REALTIME, &t);
      gmtime_r(&t.tv_sec, &tm);
      stamped = strftime(stamp, sizeof stamp, "{\"@timestamp\":\"%FT%T", &tm);
      stamped += sprintf(stamp + stamped, ".%06ldZ\",\"@module\":\"", t.tv_nsec / 1000);
    }
    for (int i = 0; i < n; i++) {
      if (!p[i].revents) continue;
      ssize_t got = read(p[i].fd, line[i] + have[i], SIZE - have[i]);
      if (got <= 0) {
        close(p[i].fd);
        p[i].fd = -1;
        open--;
        continue;
      }
      have[i] += got;
      char *at = line[i], *end = at + have[i], *nl;
      if (*how == 'r' && (nl = memrchr(at, '\n', have[i]))) {
        put(at, nl + 1 - at);
        at = nl + 1;
      }
      while (*how != 'r' && (nl = memchr(at, '\n', end - at))) {
        if (used > sizeof text / 2) flush();
        if (*how == 'j') {
          put(stamp, stamped);
          put(name[i] + 1, strlen(name[i]) - 3);
          put("\",\"stream\":\"stdout\",\"@message\":\"", 33);
          escape(at, nl - at);
          put("\"}\n", 3);
        } else {
          put(name[i], strlen(name[i]));
          put(at, nl + 1 - at);
        }
        at = nl + 1;
      }
      have[i] = end - at;
      memmove(line[i], at, have[i]);
      if (used > 0) flush();
    }
  }
  while (wait(NULL) > 0) continue;
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 3) errx(2, "usage: floor run|kill|restart|raw|prefix|json …, see floor.c");
  sigset_t none;
  sigemptyset(&none);
  sigemptyset(&handled);
  sigaddset(&handled, SIGTERM);
  sigaddset(&handled, SIGCHLD);
  sigprocmask(SIG_BLOCK, &handled, NULL);
  posix_spawnattr_init(&plain);
  posix_spawnattr_setsigmask(&plain, &none);
  posix_spawnattr_setflags(&plain, POSIX_SPAWN_SETSIGMASK);
  if (!strcmp(argv[1], "run")) return run(atoi(argv[2]), argv + 3, 0, 0);
  if (!strcmp(argv[1], "kill")) return run(1, argv + 3, atol(argv[2]), 0);
  if (!strcmp(argv[1], "restart")) return run(1, argv + 2, 0, 1);
  return relay(argv[1], atoi(argv[2]), argv + 3);
}
