package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set when a release is built: -ldflags "-X …/internal/cli.version=1.2.3".
var version = ""

// versionNumber returns the version of this build: that of the release, else that of
// the module, else the revision it was built from.
func versionNumber() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "0.0.0-" + s.Value[:12]
		}
	}
	return "0.0.0-dev"
}

// versionLine is what --version prints for the program called name.
func versionLine(name string) string {
	return fmt.Sprintf("%s version %s (%s, %s/%s)", name, versionNumber(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func versionCommand() command {
	help := func(w io.Writer, name string) {
		fmt.Fprintf(w, "Print the version of the program and what it was built with.\n\nUsage:\n  %s\n", name)
	}
	return command{
		name:    "version",
		summary: "Print the version",
		help:    help,
		run: func(env *invocation, args []string) int {
			if len(args) == 1 && args[0] == "--help" {
				help(env.stdout, env.name)
				return exitOK
			}
			if len(args) > 0 {
				env.printUsageError(usagef("Unknown option '%s'.", args[0]))
				return exitUsage
			}
			fmt.Fprintln(env.stdout, versionLine("colibri"))
			return exitOK
		},
	}
}
