package contain

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatReturnsIsNotCut(t *testing.T) {
	called := false
	require.Nil(t, Apart(func() { called = true }))
	require.True(t, called)
}

func TestAPanicOrTheEndOfAGoroutineGoesNoFurther(t *testing.T) {
	cut := Apart(func() { panic("secret") })
	require.Equal(t, "secret", cut.Value)
	require.Contains(t, string(cut.Stack), "contain_test.go")

	require.Equal(t, ErrGoexit, Apart(runtime.Goexit).Value)

	var nilError *runtime.PanicNilError
	require.ErrorAs(t, Apart(func() { panic(nil) }).Value.(error), &nilError, "which is no Goexit")
}

func TestOnlyTheLanguageIsQuoted(t *testing.T) {
	for value, want := range map[any]string{
		"secret": "a string", errors.New("secret"): "a *errors.errorString", nil: "a <nil>",
		pretender{}: "a contain.pretender", (*pretender)(nil): "a *contain.pretender",
	} {
		text, all := Said(value)
		require.Equal(t, want, text)
		require.False(t, all)
	}
	none, at := []int{}, 3
	text, all := Said(Apart(func() { _ = none[at] }).Value)
	require.Equal(t, "runtime error: index out of range [3] with length 0", text)
	require.True(t, all)
	text, all = Said(Apart(func() { panic(nil) }).Value)
	require.Contains(t, text, "panic called with nil argument")
	require.True(t, all)
}

// Whoever panics may make one, and Said is called where nobody looks for another panic.
func TestAnErrorOfTheLanguageThatCannotBeAskedIsToldByItsType(t *testing.T) {
	for value, want := range map[any]string{
		(*runtime.TypeAssertionError)(nil): "a *runtime.TypeAssertionError", // its Error panics
		new(runtime.TypeAssertionError):    "a *runtime.TypeAssertionError", // so does that of an empty one
		(*runtime.PanicNilError)(nil):      "a *runtime.PanicNilError",
	} {
		text, all := Said(value)
		require.Equal(t, want, text)
		require.False(t, all)
	}
	text, all := Said(new(runtime.PanicNilError))
	require.Contains(t, text, "panic called with nil argument")
	require.True(t, all)
}

func TestThePlaceIsTheFunctionThatPanicked(t *testing.T) {
	require.Contains(t, Place(Apart(func() { _ = divide(1, 0) }).Stack), "contain.divide (contain_test.go:")
	require.Contains(t, Place(Apart(func() { panic("secret") }).Stack), "contain_test.go:")
	require.Empty(t, Place(Apart(runtime.Goexit).Stack))
	require.Empty(t, Place(nil))
	require.Empty(t, Place([]byte("\npanic(")), "a stack that was cut off")
}

//go:noinline
func divide(a, b int) int { return a / b }

// pretender says that it is the language's.
type pretender struct{}

func (pretender) RuntimeError() {}
func (pretender) Error() string { return "secret" }
