package interop

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Names of the programs that can stand for a broker or for a set of
// command-line tools.
const (
	mosquitto = "mosquitto"
	colibri   = "colibri"
)

var (
	brokersFlag = flag.String("brokers", mosquitto+","+colibri, "brokers under test, separated by commas")
	toolsFlag   = flag.String("tools", mosquitto+","+colibri, "command-line clients under test, separated by commas")
	colibriFlag = flag.String("colibri", "", "path of a colibri binary; empty builds ./cmd/colibri of the root module")
)

// paths holds the absolute path of each program that the tests run, by its
// name. It is written once, in TestMain.
var paths = map[string]string{}

// requirement is an outside program and the way to get it.
type requirement struct {
	name    string
	install string
}

var requirements = []requirement{
	{"mosquitto", "apt-get install mosquitto"},
	{"mosquitto_pub", "apt-get install mosquitto-clients"},
	{"mosquitto_sub", "apt-get install mosquitto-clients"},
	{"mosquitto_rr", "apt-get install mosquitto-clients"},
	{"mosquitto_passwd", "apt-get install mosquitto"},
	{"stdbuf", "apt-get install coreutils"},
	{"script", "apt-get install bsdutils"},
	{"node", "apt-get install nodejs npm"},
	{"openssl", "apt-get install openssl"},
	{"tshark", "apt-get install tshark"},
	{"dumpcap", "apt-get install tshark"},
}

// python is the interpreter that Debian's package python3-paho-mqtt serves; one
// of a version manager earlier in PATH would not see that package.
const python = "/usr/bin/python3"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run is TestMain with room for deferred calls; it returns the exit code.
func run(m *testing.M) int {
	for _, name := range strings.Split(*brokersFlag+","+*toolsFlag, ",") {
		if name != mosquitto && name != colibri {
			return refuse("unknown program %q in -brokers or -tools: name %s, %s or both", name, mosquitto, colibri)
		}
	}
	directory, err := os.MkdirTemp("", "colibri-interop-")
	if err != nil {
		return refuse("make a temporary directory: %v", err)
	}
	defer os.RemoveAll(directory)
	if err := findOutsidePrograms(); err != nil {
		return refuse("%v", err)
	}
	if strings.Contains(*brokersFlag+*toolsFlag, colibri) {
		if err := findColibri(directory); err != nil {
			return refuse("%v", err)
		}
	}
	return m.Run()
}

func refuse(format string, values ...any) int {
	fmt.Fprintf(os.Stderr, "interop: "+format+"\n", values...)
	return 1
}

// findOutsidePrograms fills paths and reports the first program that is missing.
func findOutsidePrograms() error {
	for _, r := range requirements {
		path, err := lookPath(r.name)
		if err != nil {
			return fmt.Errorf("%s is not installed: run test/interop/setup.sh, or %s", r.name, r.install)
		}
		paths[r.name] = path
	}
	if err := exec.Command(python, "-c", "import paho.mqtt.client").Run(); err != nil {
		return fmt.Errorf("%s cannot import paho.mqtt.client: run test/interop/setup.sh, or apt-get install python3-paho-mqtt", python)
	}
	return checkMQTTjs()
}

// lookPath searches PATH and the directories of daemons, which the PATH of an
// ordinary user leaves out.
func lookPath(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// checkMQTTjs reports whether the version of MQTT.js that package.json names is
// installed.
func checkMQTTjs() error {
	var wanted struct{ Dependencies map[string]string }
	if err := readJSON("clients/package.json", &wanted); err != nil {
		return err
	}
	var installed struct{ Version string }
	if err := readJSON("clients/node_modules/mqtt/package.json", &installed); err != nil {
		return fmt.Errorf("MQTT.js is not installed: run test/interop/setup.sh, or npm ci in test/interop/clients")
	}
	if got, want := installed.Version, wanted.Dependencies["mqtt"]; got != want {
		return fmt.Errorf("MQTT.js is at %s but package.json names %s: run npm ci in test/interop/clients", got, want)
	}
	return nil
}

func readJSON(path string, value any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, value)
}

// findColibri builds the binary under test, unless a flag names one, and makes
// the links under which it answers to Mosquitto's names.
func findColibri(directory string) error {
	path := *colibriFlag
	if path == "" {
		path = filepath.Join(directory, colibri)
		build := exec.Command("go", "build", "-o", path, "./cmd/colibri")
		build.Dir = "../.."
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("colibri cannot be built (go build ./cmd/colibri in the root of the project): %v\n%s", err, output)
		}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("there is no colibri to test: %v", err)
	}
	paths[colibri] = path
	for _, name := range []string{"mosquitto", "mosquitto_pub", "mosquitto_sub", "mosquitto_rr", "mosquitto_passwd"} {
		link := filepath.Join(directory, name)
		if err := os.Symlink(path, link); err != nil {
			return err
		}
		paths["colibri as "+name] = link
	}
	return nil
}
