//go:build ignore

// The children of the measurements. Each child records the time of an event itself, as a mark in a
// file that all of them map. The clock is CLOCK_MONOTONIC, which all processes share. So the
// benchmark does not poll them.
//
//   child run DIR        marks main, writes a byte to up, marks SIGTERM and exits
//   child ignore DIR     the same, but does not exit at SIGTERM
//   child print DIR N    prints N numbered lines of 100 bytes and exits
//   child sink DIR       reads the output of a supervisor and counts and checks the lines
//   child orphans DIR N GAP  makes N orphans, one every GAP µs or (0) in batches of 100, waits until
//                        all are reaped, then waits for SIGTERM
//
// DIR contains marks (the file), up (a FIFO that gets a byte from each child once its handler is
// set) and alive (a FIFO that the children hold open: the reader gets EOF when the last one ends).
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START = 1, TERM, END, ZOMBIES, LINES, TORN, MARKS = 65536 };

struct mark {
  uint64_t value;
  uint32_t pid, kind;
};

static struct {
  uint64_t count, pad;
  struct mark mark[MARKS];
} *marks;

static const char *dir;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void add_mark(int kind, uint64_t value) {
  uint64_t i = __atomic_fetch_add(&marks->count, 1, __ATOMIC_RELAXED);
  if (i >= MARKS) return;
  marks->mark[i].value = value;
  marks->mark[i].pid = getpid();
  __atomic_store_n(&marks->mark[i].kind, kind, __ATOMIC_RELEASE);
}

static int in_dir(const char *name, int flags) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, flags);
  if (fd < 0) err(1, "%s", path);
  return fd;
}

static void mark_start(void) {
  uint64_t t = now();
  int fd = in_dir("marks", O_RDWR);
  marks = mmap(NULL, sizeof *marks, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (marks == MAP_FAILED) err(1, "mmap");
  close(fd);
  add_mark(START, t);
}

static void on_term(int s) {
  (void)s;
  add_mark(TERM, now());
  _exit(0);
}

static void on_term_ignore(int s) {
  (void)s;
  add_mark(TERM, now());
}

static void run(int ignore) {
  mark_start();
  signal(SIGTERM, ignore ? on_term_ignore : on_term);
  in_dir("alive", O_WRONLY);
  int up = in_dir("up", O_WRONLY);
  if (write(up, "u", 1) != 1) err(1, "up");
  close(up);
  for (;;) pause();
}

static void print(long n) {
  static char buffer[1 << 16];
  setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  mark_start();
  char line[100];
  memset(line, 'x', sizeof line);
  line[99] = '\n';
  int pid = getpid();
  for (long i = 0; i < n; i++) {
    int used = sprintf(line, "<%07d %07ld>", pid, i);
    line[used] = ' ';
    if (fwrite(line, 1, sizeof line, stdout) != sizeof line) err(1, "stdout");
  }
  fflush(stdout);
}

// sink reads the lines of print, with any prefix or suffix of a supervisor. It marks the number of
// complete lines, the number of damaged, repeated or reordered lines, and the last read.
static void sink(void) {
  mark_start();
  static char buffer[1 << 20];
  size_t have = 0;
  uint64_t lines = 0, torn = 0, last = 0;
  static struct { int pid; long next; } seen[64];
  for (;;) {
    ssize_t n = read(0, buffer + have, sizeof buffer - have);
    if (n <= 0) break;
    last = now();
    have += n;
    char *at = buffer, *end = buffer + have, *nl;
    while ((nl = memchr(at, '\n', end - at))) {
      char *open = memchr(at, '<', nl - at);
      if (open && nl - open >= 17 && open[16] == '>') {
        int pid = 0;
        long number = 0;
        for (int i = 1; i < 8; i++) pid = pid * 10 + open[i] - '0';
        for (int i = 9; i < 16; i++) number = number * 10 + open[i] - '0';
        int k = 0;
        while (k < 63 && seen[k].pid && seen[k].pid != pid) k++;
        seen[k].pid = pid;
        ptrdiff_t rest = nl - open; // 99 bytes of the line and a suffix
        if (number != seen[k].next || rest < 99 || rest > 140) torn++;
        seen[k].next = number + 1;
        lines++;
      }
      at = nl + 1;
    }
    have = end - at;
    memmove(buffer, at, have);
    if (have == sizeof buffer) have = 0;
  }
  add_mark(END, last);
  add_mark(LINES, lines);
  add_mark(TORN, torn);
}

// zombies returns the number of zombies, and in all the number of processes.
static int zombies(int *all) {
  int n = 0;
  *all = 0;
  DIR *d = opendir("/proc");
  for (struct dirent *e; (e = readdir(d));) {
    if (!isdigit(e->d_name[0])) continue;
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    ssize_t got = read(fd, text, sizeof text - 1);
    close(fd);
    if (got <= 0) continue;
    text[got] = 0;
    char *state = strrchr(text, ')');
    if (state && state[2] == 'Z') n++;
    (*all)++;
  }
  closedir(d);
  return n;
}

static void orphans(long n, long gap) {
  mark_start();
  uint64_t began = now();
  int batch = gap ? 1 : 100;
  for (long i = 0; i < n; i += batch) {
    uint64_t next = began + i * gap * 1000;
    struct timespec t = {next / 1000000000, next % 1000000000};
    if (gap) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    pid_t p = fork();
    if (p == 0) {
      for (int k = 0; k < batch; k++)
        if (fork() == 0) _exit(0);
      _exit(0);
    }
    waitpid(p, NULL, 0);
  }
  uint64_t made = now();
  int all, most = 0, z;
  while ((z = zombies(&all)) > 0)
    if (z > most) most = z;
  add_mark(ZOMBIES, most);
  add_mark(END, now() - made);
  add_mark(TERM, made - began);
  int up = in_dir("up", O_WRONLY);
  if (write(up, "u", 1) != 1) err(1, "up");
  signal(SIGTERM, SIG_DFL);
  for (;;) pause();
}

int main(int argc, char **argv) {
  if (argc < 3) errx(2, "usage: child run|ignore|print|sink|orphans DIR [N [GAP]]");
  dir = argv[2];
  long n = argc > 3 ? atol(argv[3]) : 0;
  if (!strcmp(argv[1], "run")) run(0);
  else if (!strcmp(argv[1], "ignore")) run(1);
  else if (!strcmp(argv[1], "print")) print(n);
  else if (!strcmp(argv[1], "sink")) sink();
  else if (!strcmp(argv[1], "orphans")) orphans(n, argc > 4 ? atol(argv[4]) : 0);
  else errx(2, "unknown verb: %s", argv[1]);
  return 0;
}
