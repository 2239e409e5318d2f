#!/bin/sh
# Installs what the interop tests need beside Go: Mosquitto, Paho for Python and
# Node.js from Debian, MQTT.js from npm. Does nothing when all is there. Says
# what it installs and why, and fails with one sentence when it may not.
set -eu
cd "$(dirname "$0")"

fail() {
	echo "setup: $*" >&2
	exit 1
}

# have PROGRAM: in PATH, or where Debian keeps its daemons.
have() {
	command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]
}

packages=""

# need PACKAGE REASON: PACKAGE has to be installed.
need() {
	echo "setup: $1 is missing: $2"
	packages="$packages $1"
}

have mosquitto || need mosquitto "the broker that our clients are checked against"
have mosquitto_pub && have mosquitto_sub && have mosquitto_rr ||
	need mosquitto-clients "mosquitto_pub, mosquitto_sub and mosquitto_rr"
[ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null ||
	need python3-paho-mqtt "Paho for Python"
have openssl || need openssl "looks at the certificates of colibri pki"
have tshark && have dumpcap || need tshark "the packet analyser that colibri inspect is compared with"
have node || need nodejs "runs MQTT.js"

# The version of MQTT.js that package.json names.
wanted=$(sed -n 's/^ *"mqtt": "\(.*\)".*/\1/p' clients/package.json)
installed=$(sed -n 's/^ *"version": "\(.*\)".*/\1/p' clients/node_modules/mqtt/package.json 2>/dev/null || true)
if [ "$installed" != "$wanted" ]; then
	have npm || need npm "installs MQTT.js"
fi

if [ -n "$packages" ]; then
	[ "$(id -u)" = 0 ] || fail "only root may install packages: run  sudo apt-get install$packages  and start this script again"
	have apt-get || fail "this is no Debian system (there is no apt-get): install$packages another way"
	# Debian starts a broker on port 1883 when its package is installed. The
	# tests start their own, so keep that one from starting, unless the machine
	# has a policy already.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap 'rm -f "$policy"' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q || fail "the package lists cannot be read: see the lines of apt-get above"
	# shellcheck disable=SC2086 # one word for each package
	apt-get install -q -y --no-install-recommends $packages ||
		fail "apt-get could not install$packages: see its lines above"
fi

if [ "$installed" != "$wanted" ]; then
	echo "setup: MQTT.js $wanted is missing: one of the outside clients"
	(cd clients && npm ci --no-audit --no-fund) || fail "npm could not install MQTT.js: see its lines above"
fi
