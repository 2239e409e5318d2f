//go:build unix

package cli

import (
	"os"
	"syscall"
)

// unheeded are the signals that Mosquitto answers and this version has no answer to:
// they must not end the broker.
var unheeded = []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2}
