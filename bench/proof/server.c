//go:build ignore

// A server with six descriptors that a typical server has. At SIGTERM it closes all of them and
// exits.
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t stopping;
static void handler(int sig) { stopping = sig; }

int main(void) {
	sigset_t term, none;
	sigemptyset(&none), sigemptyset(&term), sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGTERM, handler);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fds[6];
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	bind(fds[0], (void *)&a, size), listen(fds[0], 8), getsockname(fds[0], (void *)&a, &size);
	fds[1] = socket(AF_INET, SOCK_STREAM, 0);
	connect(fds[1], (void *)&a, size);
	fds[2] = accept(fds[0], 0, 0);
	// Close with a reset: sockets in TIME_WAIT would slow down the socket dump of the next stop.
	struct linger reset = {1, 0};
	setsockopt(fds[1], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	setsockopt(fds[2], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	fds[3] = epoll_create1(0);
	fds[4] = open("/proc/self/exe", O_RDONLY);
	fds[5] = open("/dev/null", O_WRONLY | O_APPEND);
	if (write(1, "ready\n", 6) != 6)
		return 1;
	while (!stopping)
		sigsuspend(&none);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	return 0;
}
