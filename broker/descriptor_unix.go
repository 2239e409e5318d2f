//go:build unix && !linux

package broker

import "syscall"

const haveDescriptors = true

func readDescriptor(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

func writeDescriptor(fd uintptr, b []byte, _ bool) (int, error) { return syscall.Write(int(fd), b) }

// hangupEvents is empty: poll tells that the peer has closed its end without being asked.
const hangupEvents = 0
