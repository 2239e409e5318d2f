//go:build !unix

package cli

import "os"

// unheeded is empty where there are no such signals.
var unheeded []os.Signal
