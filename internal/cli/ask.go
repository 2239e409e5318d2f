package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/colibri-mqtt/colibri/internal/config"
	"github.com/colibri-mqtt/colibri/internal/control"
)

// packagedState is where a broker that the system starts keeps its state.
const packagedState = "/var/lib/colibri/colibri"

// brokerChoice says which broker of this machine is asked. All empty is the one that a person
// most likely means.
type brokerChoice struct {
	control    string // the path of its control socket
	configFile string // its configuration
	port       string // its first port
}

// flags are the flags that set c.
func (c *brokerChoice) flags() []toolFlag {
	into := func(field *string) func(value string) error {
		return func(value string) error { *field = value; return nil }
	}
	return []toolFlag{
		{names: []string{"-p", "--port"}, value: "PORT", help: "ask the broker of this user that was started on PORT; without it the one on 1883 or, if there is none, another one", apply: into(&c.port)},
		{names: []string{"-c", "--config-file"}, value: "FILE", file: true, help: "ask the broker that runs with the configuration in FILE", apply: into(&c.configFile)},
		{names: []string{"--control"}, value: "PATH", file: true, help: "ask the broker with this control socket", apply: into(&c.control)},
	}
}

// ask puts a question to the broker; see control.Ask. The error is for a person.
func (c *brokerChoice) ask(ctx context.Context, name string, ask url.Values) (io.ReadCloser, error) {
	paths, err := c.paths()
	if err != nil {
		return nil, err
	}
	var absent *control.Absent
	for _, path := range paths {
		answer, err := control.Ask(ctx, path, name, ask)
		if err == nil || !errors.As(err, &absent) {
			return answer, err
		}
	}
	if len(paths) == 1 {
		return nil, fmt.Errorf("%w: start it, or say with --control which socket it has", absent)
	}
	return nil, fmt.Errorf("no broker of this user answers (%s): start one, or say with -p, -c or --control which one you mean", absent.Err)
}

// paths returns where the control socket may be, the likeliest place first.
func (c *brokerChoice) paths() ([]string, error) {
	given := 0
	for _, v := range []string{c.control, c.configFile, c.port} {
		if v != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, errors.New("give one of -p, -c and --control")
	case c.control != "":
		path, err := filepath.Abs(c.control)
		return []string{path}, err
	case c.configFile != "":
		return controlOf(c.configFile)
	case c.port != "":
		port, err := strconv.ParseUint(c.port, 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("'%s' is not a port; give a number from 1 to 65535", c.port)
		}
		dir, err := stateDirectory(config.Default(), filepath.Join("colibri", strconv.Itoa(int(port))), "")
		return []string{filepath.Join(dir, controlName)}, err
	}
	all, err := stateDirectory(config.Default(), "colibri", "")
	if err != nil {
		return nil, err
	}
	paths := []string{filepath.Join(all, "1883", controlName), filepath.Join(all, controlName), filepath.Join(packagedState, controlName)}
	others, _ := filepath.Glob(filepath.Join(strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`).Replace(all), "*", controlName))
	for _, path := range others {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

// controlOf returns the control socket of the broker that has the configuration in file.
func controlOf(file string) ([]string, error) {
	c, err := config.Read(file)
	switch {
	case err != nil:
		return nil, err
	case c.Own.Control == config.None:
		return nil, fmt.Errorf("%s says 'colibri_control none', so its broker cannot be asked", file)
	case c.Own.Control != "":
		return []string{c.Own.Control}, nil
	}
	s := &brokerServer{config: c, options: &brokerOptions{}}
	name := s.stateName()
	if c.Persistence == config.No || name == "" {
		return nil, fmt.Errorf("the broker of %s has no control socket, as it keeps no state: add 'colibri_control PATH'", file)
	}
	dir, err := stateDirectory(c, name, "")
	return []string{filepath.Join(dir, controlName)}, err
}
