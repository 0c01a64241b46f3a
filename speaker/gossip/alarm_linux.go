package gossip

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm rings once after it was set. It is a timer of the kernel (timerfd_create(2)), which wakes as a socket does. One of Go's
// would wake two threads, sysmon with the one that it is for, and again for each time that it was set to before.
type alarm struct {
	file *os.File
	raw  syscall.RawConn
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	file := os.NewFile(uintptr(fd), "timer")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &alarm{file, raw}, nil
}

// set has it ring after some time, and not when it was to before.
func (a *alarm) set(after time.Duration) {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(1, after.Nanoseconds()))} // 0 would be never
	_ = a.raw.Control(func(fd uintptr) {                                             // fails where it is closed
		_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
}

// wait waits until it rings. It fails when it is closed.
func (a *alarm) wait() error {
	var times uint64
	return await(a.raw, "read", func(fd uintptr) (errno syscall.Errno) {
		_, _, errno = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&times)), unsafe.Sizeof(times))
		return errno
	})
}

func (a *alarm) close() { _ = a.file.Close() }
