package cli

// languages are the values of --lang, in which texts that teach are there.
var languages = []string{"en", "fr"}

// parseLanguage reads the value of --lang.
func parseLanguage(value string) (french bool, err error) {
	switch value {
	case "en", "fr":
		return value == "fr", nil
	}
	return false, usagef("'%s' is no language of ours; there are en and fr.", value)
}
