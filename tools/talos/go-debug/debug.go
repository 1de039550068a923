// Package debug takes the place of github.com/siderolabs/go-debug, which does not compile with Go 1.27.
//
// Talos builds that one without its tag sidero.debug; then it serves nothing either.
package debug

import "context"

// Enabled says whether profiles are served.
const Enabled = false

// RaceEnabled says whether the race detector is compiled in.
const RaceEnabled = false

// ListenAndServe serves nothing.
func ListenAndServe(context.Context, string, func(string)) error {
	return nil
}
