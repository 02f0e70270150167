package procfs

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// call is a system call, and whether its first argument is a descriptor.
type call struct {
	name string
	fd   bool
}

func callOf(n int) call {
	for _, table := range []map[int]call{calls, oldCalls} {
		if c, ok := table[n]; ok {
			return c
		}
	}
	return call{name: "syscall " + strconv.Itoa(n)}
}

// calls are those in which threads wait, or which take long.
var calls = map[int]call{
	unix.SYS_READ:              {"read", true},
	unix.SYS_READV:             {"readv", true},
	unix.SYS_PREAD64:           {"pread64", true},
	unix.SYS_PREADV:            {"preadv", true},
	unix.SYS_WRITE:             {"write", true},
	unix.SYS_WRITEV:            {"writev", true},
	unix.SYS_PWRITE64:          {"pwrite64", true},
	unix.SYS_PWRITEV:           {"pwritev", true},
	unix.SYS_RECVFROM:          {"recvfrom", true},
	unix.SYS_RECVMSG:           {"recvmsg", true},
	unix.SYS_RECVMMSG:          {"recvmmsg", true},
	unix.SYS_SENDTO:            {"sendto", true},
	unix.SYS_SENDMSG:           {"sendmsg", true},
	unix.SYS_SENDMMSG:          {"sendmmsg", true},
	unix.SYS_SENDFILE:          {"sendfile", true},
	unix.SYS_SPLICE:            {"splice", true},
	unix.SYS_ACCEPT:            {"accept", true},
	unix.SYS_ACCEPT4:           {"accept4", true},
	unix.SYS_CONNECT:           {"connect", true},
	unix.SYS_SHUTDOWN:          {"shutdown", true},
	unix.SYS_CLOSE:             {"close", true},
	unix.SYS_IOCTL:             {"ioctl", true},
	unix.SYS_FCNTL:             {"fcntl", true},
	unix.SYS_FLOCK:             {"flock", true},
	unix.SYS_FSYNC:             {"fsync", true},
	unix.SYS_FDATASYNC:         {"fdatasync", true},
	unix.SYS_SYNC_FILE_RANGE:   {"sync_file_range", true},
	unix.SYS_SYNCFS:            {"syncfs", true},
	unix.SYS_FTRUNCATE:         {"ftruncate", true},
	unix.SYS_FALLOCATE:         {"fallocate", true},
	unix.SYS_GETDENTS64:        {"getdents64", true},
	unix.SYS_EPOLL_PWAIT:       {"epoll_pwait", true},
	unix.SYS_EPOLL_PWAIT2:      {"epoll_pwait2", true},
	unix.SYS_IO_URING_ENTER:    {"io_uring_enter", true},
	unix.SYS_OPENAT:            {name: "openat"},
	unix.SYS_UNLINKAT:          {name: "unlinkat"},
	unix.SYS_RENAMEAT2:         {name: "renameat2"},
	unix.SYS_SYNC:              {name: "sync"},
	unix.SYS_MSYNC:             {name: "msync"},
	unix.SYS_MUNMAP:            {name: "munmap"},
	unix.SYS_PPOLL:             {name: "ppoll"},
	unix.SYS_PSELECT6:          {name: "pselect6"},
	unix.SYS_FUTEX:             {name: "futex"},
	unix.SYS_FUTEX_WAITV:       {name: "futex_waitv"},
	unix.SYS_NANOSLEEP:         {name: "nanosleep"},
	unix.SYS_CLOCK_NANOSLEEP:   {name: "clock_nanosleep"},
	unix.SYS_RESTART_SYSCALL:   {name: "restart_syscall"}, // a call that a stop interrupted, signal(7)
	unix.SYS_WAIT4:             {name: "wait4"},
	unix.SYS_WAITID:            {name: "waitid"},
	unix.SYS_RT_SIGSUSPEND:     {name: "rt_sigsuspend"},
	unix.SYS_RT_SIGTIMEDWAIT:   {name: "rt_sigtimedwait"},
	unix.SYS_IO_GETEVENTS:      {name: "io_getevents"},
	unix.SYS_IO_PGETEVENTS:     {name: "io_pgetevents"},
	unix.SYS_MQ_TIMEDRECEIVE:   {"mq_timedreceive", true},
	unix.SYS_MQ_TIMEDSEND:      {"mq_timedsend", true},
	unix.SYS_MSGRCV:            {name: "msgrcv"},
	unix.SYS_MSGSND:            {name: "msgsnd"},
	unix.SYS_SEMTIMEDOP:        {name: "semtimedop"},
	unix.SYS_SEMOP:             {name: "semop"},
	unix.SYS_CLONE:             {name: "clone"},
	unix.SYS_CLONE3:            {name: "clone3"},
	unix.SYS_EXECVE:            {name: "execve"},
	unix.SYS_EXECVEAT:          {name: "execveat"},
	unix.SYS_EXIT:              {name: "exit"},
	unix.SYS_EXIT_GROUP:        {name: "exit_group"},
	unix.SYS_PROCESS_VM_READV:  {name: "process_vm_readv"},
	unix.SYS_MADVISE:           {name: "madvise"},
	unix.SYS_SCHED_YIELD:       {name: "sched_yield"},
	unix.SYS_UMOUNT2:           {name: "umount2"},
	unix.SYS_GETRANDOM:         {name: "getrandom"},
	unix.SYS_PROCESS_VM_WRITEV: {name: "process_vm_writev"},
}
