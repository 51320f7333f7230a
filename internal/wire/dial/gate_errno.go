//go:build !plan9

package dial

import "syscall"

// refusedHere are the errors by which this machine itself opens no connection.
var refusedHere = []error{
	syscall.EADDRNOTAVAIL, syscall.EADDRINUSE, syscall.EAFNOSUPPORT, syscall.ENETUNREACH, syscall.EMFILE, syscall.ENFILE,
	syscall.ENOBUFS, syscall.EACCES, syscall.EPERM,
}
