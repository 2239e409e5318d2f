package cli

import (
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"github.com/colibri-mqtt/colibri/internal/hasher"
)

// hasherArgument makes the program the process that compares passwords for a broker. It is no
// command: only the broker says it, with the number of comparisons at once behind it.
const hasherArgument = "__compare-passwords"

// isHasher reports whether the program was started by a broker that wants passwords compared.
func isHasher(args []string) bool { return len(args) == 3 && args[1] == hasherArgument }

// runHasher is that process.
func runHasher(args []string, stdin io.Reader, stdout io.Writer) int {
	checks, err := strconv.Atoi(args[2])
	if err != nil || hasher.Serve(stdin, stdout, checks) != nil {
		return exitUsage
	}
	return exitOK
}

// newHasher returns what compares dear passwords for s, at most checks at once.
func (s *brokerServer) newHasher(checks int) *hasher.Hasher {
	command := func() (*exec.Cmd, error) {
		// On Linux it is this very program also when another one lies in its place
		// meanwhile, and when its directory is closed to the user that the broker became.
		program := "/proc/self/exe"
		if _, err := os.Stat(program); runtime.GOOS != "linux" || err != nil {
			if program, err = os.Executable(); err != nil {
				return nil, err
			}
		}
		c := exec.Command(program)
		c.Args = []string{"colibri", hasherArgument, strconv.Itoa(checks)}
		c.Env = []string{} // nothing that it would need
		return c, nil
	}
	return hasher.New(command, func(text string) { s.log.printf(logWarning, "%s", text) })
}
