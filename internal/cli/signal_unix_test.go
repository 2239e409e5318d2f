//go:build unix

package cli

import (
	"os"
	"syscall"
	"testing"
)

// TestBrokerSignals shows that signals without a meaning here do not end the broker.
func TestBrokerSignals(t *testing.T) {
	b := startConfigured(t, "listener 0 127.0.0.1\nallow_anonymous true\n")
	b.address() // it is ready for signals
	me, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{syscall.SIGUSR1, syscall.SIGUSR2} {
		if err := me.Signal(signal); err != nil {
			t.Fatal(err)
		}
		b.until(`Signal "` + signal.String() + `": this version has nothing to do on it\.\n`)
	}
	b.end()
}
