// Package secret keeps values that must never be seen: a string type that does not
// print, and a redactor that stands before every sink.
package secret

import "fmt"

// Mask is what is shown in place of a secret.
const Mask = "[secret]"

// String is a value that prints as [Mask] with every verb and in every encoding.
type String struct{ value string }

// New makes a secret of a value.
func New(value string) String { return String{value} }

// Reveal gives the value to the one place that must use it.
func (s String) Reveal() string { return s.value }

// IsZero says whether there is no value.
func (s String) IsZero() bool { return s.value == "" }

func (s String) String() string               { return Mask }
func (s String) GoString() string             { return Mask }
func (s String) Format(f fmt.State, _ rune)   { fmt.Fprint(f, Mask) }
func (s String) MarshalText() ([]byte, error) { return []byte(Mask), nil }
func (s String) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }
