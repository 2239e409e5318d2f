//go:build !unix

package cli

// descriptorsOfProcess returns 0: this system has no such limit.
func descriptorsOfProcess() uint64 { return 0 }
