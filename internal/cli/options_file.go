package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// optionsFileNames are the default options files by program: those that Mosquitto's
// programs read, so that one file serves both; and one of our own.
var optionsFileNames = map[program]string{pub: "mosquitto_pub", sub: "mosquitto_sub", rr: "mosquitto_rr", topicTree: "colibri_topic_tree"}

// chosenOptionsFile returns the options file to read: that of -o (given is true), else
// the default one, which need not exist. path is empty when there is neither.
func chosenOptionsFile(p program, typed []setting) (path string, given bool, err error) {
	for _, s := range typed {
		if s.flag.names[0] != "-o" {
			continue
		}
		if given {
			return "", false, usagef("Duplicate -o argument given.")
		}
		path, given = s.values[0], true
	}
	if given {
		return path, true, nil
	}
	if directory := os.Getenv("XDG_CONFIG_HOME"); directory != "" {
		return filepath.Join(directory, optionsFileNames[p]), false, nil
	}
	if directory := os.Getenv("HOME"); directory != "" {
		return filepath.Join(directory, ".config", optionsFileNames[p]), false, nil
	}
	return "", false, nil
}

// readOptionsFile reads the flags of an options file: one a line, the value after the
// first space, comments behind a "#" in the first column. Only a file that was asked
// for must exist.
func readOptionsFile(p program, name, path string, given bool) ([]setting, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !given {
		return nil, nil
	}
	if err != nil {
		var reason *fs.PathError
		if errors.As(err, &reason) {
			err = reason.Err
		}
		return nil, usagef("Unable to open options file \"%s\": %s.", path, err)
	}
	var settings []setting
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(line, "\r")
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		found, err := scanLine(p, name, strings.TrimLeft(line, " "))
		if err != nil {
			return nil, atLine(err, path, i+1)
		}
		for _, s := range found {
			s.file, s.line = path, i+1
			settings = append(settings, s)
		}
	}
	return settings, nil
}

// scanLine cuts one line of an options file. The value is all that follows the first
// space, spaces too; -D takes several values, so that its line is cut at each space
// but the last value may hold spaces.
func scanLine(p program, name, line string) ([]setting, error) {
	first, rest, more := strings.Cut(line, " ")
	args := []string{first}
	if f := lookup(p, first); f != nil && f.applyList != nil {
		args = append(args, splitProperty(strings.TrimLeft(rest, " "))...)
	} else if more {
		args = append(args, strings.TrimLeft(rest, " "))
	}
	return scan(p, name, args)
}

// splitProperty cuts "COMMAND PROPERTY VALUE" or "COMMAND user-property NAME VALUE".
func splitProperty(text string) []string {
	want := 3
	if words := strings.Fields(text); len(words) >= 2 && words[1] == "user-property" {
		want = 4
	}
	return strings.SplitN(text, " ", want)
}
