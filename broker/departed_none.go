//go:build !unix

package broker

func hungUp(uintptr) bool { return false }
