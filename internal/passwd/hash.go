package passwd

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Kind is a way of hashing passwords.
type Kind int

// The kinds, by the words of mosquitto_passwd.
const (
	SHA512   Kind = iota // "$6$": one round, which is no protection for a password that can be guessed
	PBKDF2               // "$7$": PBKDF2 with SHA-512
	Argon2id             // "$argon2id$": takes memory too, so guessing is dear
)

var kindNames = [...]string{SHA512: "sha512", PBKDF2: "sha512-pbkdf2", Argon2id: "argon2id"}

// String returns the word of mosquitto_passwd.
func (k Kind) String() string { return kindNames[k] }

// ParseKind returns the kind of that name, and whether there is one.
func ParseKind(name string) (Kind, bool) {
	for k, known := range kindNames {
		if name == known {
			return Kind(k), true
		}
	}
	return 0, false
}

// Bounds of what a file may ask for. With them one check takes at most MaxMemoryBytes and
// about a second, whatever a file says.
const (
	MaxIterations    = 1_000_000 // of PBKDF2
	MaxMemoryBytes   = 64 << 20  // of argon2id
	maxArgon2Time    = 16
	maxArgon2Threads = 4
	maxSaltBytes     = 64
	maxSumBytes      = 64
)

// What New makes: the numbers of Mosquitto 2.1.
const (
	DefaultIterations = 1000 // of PBKDF2
	argon2KiB         = 47_104
	argon2SumBytes    = 64
	argon2SaltBytes   = 16
	shaSaltBytes      = 12
)

// Hash is the hash of one password. It is plain data: whoever has it may read and copy it.
// The zero value is no hash and matches nothing.
type Hash struct {
	cost
	salt, sum []byte
}

// cost is what one check of a Hash costs: two of the same cost take the same time.
type cost struct {
	kind       Kind
	iterations int // of PBKDF2; passes of argon2id
	kib        int // of argon2id
	threads    int // of argon2id
	sumBytes   int
}

// New hashes a password with a fresh salt. iterations are those of PBKDF2, from 1 to
// MaxIterations; 0 stands for DefaultIterations, and the other kinds take only that.
func New(kind Kind, iterations int, password []byte) (Hash, error) {
	if iterations < 0 || iterations > MaxIterations || iterations > 0 && kind != PBKDF2 {
		return Hash{}, fmt.Errorf("%d iterations for %s: only %s has a number of them, from 1 to %d", iterations, kind, PBKDF2, MaxIterations)
	}
	h := Hash{cost: cost{kind: kind, sumBytes: sha512.Size}}
	saltBytes := shaSaltBytes
	switch kind {
	case PBKDF2:
		h.iterations = iterations
		if iterations == 0 {
			h.iterations = DefaultIterations
		}
	case Argon2id:
		h.iterations, h.kib, h.threads, h.sumBytes = 1, argon2KiB, 1, argon2SumBytes
		saltBytes = argon2SaltBytes
	}
	h.salt = make([]byte, saltBytes)
	rand.Read(h.salt)
	h.sum = h.of(password)
	return h, nil
}

// decoy returns a hash of the same cost that no password has.
func (c cost) decoy() Hash {
	h := Hash{cost: c, salt: make([]byte, argon2SaltBytes), sum: make([]byte, c.sumBytes)}
	rand.Read(h.salt)
	rand.Read(h.sum)
	return h
}

// of hashes a password as h was made.
func (h Hash) of(password []byte) []byte {
	switch h.kind {
	case PBKDF2:
		sum, err := pbkdf2.Key(sha512.New, string(password), h.salt, h.iterations, h.sumBytes)
		if err != nil {
			return nil // only where FIPS 140 is enforced and the salt is short
		}
		return sum
	case Argon2id:
		return argon2.IDKey(password, h.salt, uint32(h.iterations), uint32(h.kib), uint8(h.threads), uint32(h.sumBytes))
	}
	digest := sha512.New()
	digest.Write(password)
	digest.Write(h.salt)
	return digest.Sum(nil)
}

// Matches reports whether h was made from this password. It takes as long for a wrong one as
// for the right one: up to a second, and MemoryBytes.
func (h Hash) Matches(password []byte) bool {
	return len(h.sum) > 0 && subtle.ConstantTimeCompare(h.of(password), h.sum) == 1
}

// Dear reports whether one Matches takes some milliseconds or much memory, so that it is worth
// asking another process.
func (h Hash) Dear() bool {
	return h.kind == Argon2id || h.kind == PBKDF2 && h.iterations > 5*DefaultIterations
}

// MemoryBytes is what one Matches takes, besides a few kilobytes; at most MaxMemoryBytes.
func (h Hash) MemoryBytes() int { return h.kib << 10 }

// String returns the hash as it stands in a file. It is as secret as the file.
func (h Hash) String() string {
	padded, bare := base64.StdEncoding.EncodeToString, base64.RawStdEncoding.EncodeToString
	switch h.kind {
	case PBKDF2:
		return fmt.Sprintf("$7$%d$%s$%s", h.iterations, padded(h.salt), padded(h.sum))
	case Argon2id:
		return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.kib, h.iterations, h.threads, bare(h.salt), bare(h.sum))
	}
	return "$6$" + padded(h.salt) + "$" + padded(h.sum)
}

// errPlain is the error for what does not begin as a hash does.
var errPlain = errors.New("the password is not hashed; 'colibri passwd -U FILE' hashes all of a file")

// ParseHash reads a hash as it stands in a file. The error says what is wrong and shows
// nothing of the text.
func ParseHash(text string) (Hash, error) {
	fields := strings.Split(text, "$")
	if len(fields) < 2 || fields[0] != "" {
		return Hash{}, errPlain
	}
	var h Hash
	coding := base64.StdEncoding
	switch fields = fields[2:]; strings.Split(text, "$")[1] {
	case "6":
		h.kind, h.sumBytes = SHA512, sha512.Size
	case "7":
		h.kind, h.sumBytes = PBKDF2, sha512.Size
		if len(fields) == 0 || !decimal(fields[0], 1, MaxIterations, &h.iterations) {
			return Hash{}, fmt.Errorf("the iterations of the hash are not a number from 1 to %d", MaxIterations)
		}
		fields = fields[1:]
	case "argon2id":
		h.kind, coding = Argon2id, base64.RawStdEncoding
		if len(fields) < 2 || fields[0] != "v="+strconv.Itoa(argon2.Version) {
			return Hash{}, fmt.Errorf("the argon2id hash is not of version %d", argon2.Version)
		}
		if err := h.readArgon2(fields[1]); err != nil {
			return Hash{}, err
		}
		fields = fields[2:]
	default:
		return Hash{}, errors.New("the kind of the hash is none of $6$, $7$ and $argon2id$; set the password again with 'colibri passwd FILE USER'")
	}
	if len(fields) != 2 {
		return Hash{}, errors.New("the hash is not complete; set the password again with 'colibri passwd FILE USER'")
	}
	var err1, err2 error
	h.salt, err1 = coding.Strict().DecodeString(fields[0])
	h.sum, err2 = coding.Strict().DecodeString(fields[1])
	if h.kind == Argon2id {
		h.sumBytes = len(h.sum)
	}
	switch {
	case err1 != nil || err2 != nil:
		return Hash{}, errors.New("the hash is not written in base64; set the password again with 'colibri passwd FILE USER'")
	case len(h.salt) == 0 || len(h.salt) > maxSaltBytes:
		return Hash{}, fmt.Errorf("the salt of the hash has %d bytes, and 1 to %d are right", len(h.salt), maxSaltBytes)
	case len(h.sum) != h.sumBytes || h.sumBytes < 16 || h.sumBytes > maxSumBytes:
		return Hash{}, fmt.Errorf("the hash has %d bytes, which is not the length of its kind", len(h.sum))
	}
	return h, nil
}

// readArgon2 reads "m=47104,t=1,p=1", in that order, as PHC strings have it.
func (h *Hash) readArgon2(text string) error {
	fields := strings.Split(text, ",")
	if len(fields) != 3 {
		return errors.New("the parameters of the argon2id hash are not 'm=...,t=...,p=...'")
	}
	for i, p := range []struct {
		name     string
		into     *int
		min, max int
	}{
		{"m=", &h.kib, 8, MaxMemoryBytes >> 10},
		{"t=", &h.iterations, 1, maxArgon2Time},
		{"p=", &h.threads, 1, maxArgon2Threads},
	} {
		value, ok := strings.CutPrefix(fields[i], p.name)
		if !ok || !decimal(value, p.min, p.max, p.into) {
			return fmt.Errorf("the parameter %s of the argon2id hash is not a number from %d to %d", p.name[:1], p.min, p.max)
		}
	}
	if h.kib < 8*h.threads {
		return fmt.Errorf("the parameter m of the argon2id hash is below 8 times p, which is %d", 8*h.threads)
	}
	return nil
}

// decimal reads digits only.
func decimal(text string, least, most int, into *int) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	n, err := strconv.Atoi(text)
	*into = n
	return err == nil && n >= least && n <= most
}
