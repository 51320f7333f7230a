package secrets

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/auth/oauth2"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// folders are the public packages.
var folders = []string{"engine", "engine/inspect", "messages", "auth", "auth/oauth2", "throttle", "throttle/feedback", "throttle/limitfile"}

// types are all exported types of those packages, but for names of types of others.
var types = slices.Concat(
	[]reflect.Type{
		reflect.TypeFor[engine.Admission](), reflect.TypeFor[engine.Clock](), reflect.TypeFor[engine.Config](),
		reflect.TypeFor[engine.Connections](), reflect.TypeFor[engine.Dial](), reflect.TypeFor[engine.Egress](), reflect.TypeFor[engine.Engine](),
		reflect.TypeFor[engine.LimitStats](), reflect.TypeFor[engine.LimitsStats](), reflect.TypeFor[engine.Outcome](),
		reflect.TypeFor[engine.PoolStats](), reflect.TypeFor[engine.QueuedStats](), reflect.TypeFor[engine.Responses](),
		reflect.TypeFor[engine.Retry](), reflect.TypeFor[engine.ScopeStats](), reflect.TypeFor[engine.Stats](),
		reflect.TypeFor[engine.TimeEndpoint](), reflect.TypeFor[engine.TimeFunc](), reflect.TypeFor[engine.TimeReading](),
		reflect.TypeFor[engine.TimeSource](), reflect.TypeFor[engine.Charge](), reflect.TypeFor[engine.Permit](), reflect.TypeFor[engine.PermitStats](),
		reflect.TypeFor[engine.Settlement](),
	},
	[]reflect.Type{
		reflect.TypeFor[messages.Answer](), reflect.TypeFor[messages.AsJSON](), reflect.TypeFor[messages.Call](), reflect.TypeFor[messages.CheckedReader](), reflect.TypeFor[messages.Source](),
		reflect.TypeFor[messages.Codings](), reflect.TypeFor[messages.ContentTypeError](), reflect.TypeFor[messages.DecodeError](),
		reflect.TypeFor[messages.Error](), reflect.TypeFor[messages.Field](), reflect.TypeFor[messages.File](), reflect.TypeFor[messages.Form](),
		reflect.TypeFor[messages.Header](), reflect.TypeFor[messages.Multipart](), reflect.TypeFor[messages.Origin](),
		reflect.TypeFor[messages.PanicError](), reflect.TypeFor[messages.Parts](), reflect.TypeFor[messages.PoolFullError](),
		reflect.TypeFor[messages.PostProcessor](), reflect.TypeFor[messages.PostProcessorFunc](), reflect.TypeFor[messages.PreProcessor](),
		reflect.TypeFor[messages.PreProcessorFunc](), reflect.TypeFor[messages.ProxyError](), reflect.TypeFor[messages.Request](),
		reflect.TypeFor[messages.Response](), reflect.TypeFor[messages.Sent](), reflect.TypeFor[messages.SkewError](),
		reflect.TypeFor[messages.Stage](), reflect.TypeFor[messages.StatusError](), reflect.TypeFor[messages.Upload](),
		reflect.TypeFor[messages.Values](),
	},
	[]reflect.Type{
		reflect.TypeFor[auth.APIKey](), reflect.TypeFor[auth.Authenticator](), reflect.TypeFor[auth.Basic](),
		reflect.TypeFor[auth.Bearer](), reflect.TypeFor[auth.BodyUnsigned](), reflect.TypeFor[auth.Chain](),
		reflect.TypeFor[auth.Clock](), reflect.TypeFor[auth.Codes](), reflect.TypeFor[auth.Encoding](), reflect.TypeFor[auth.Error](),
		reflect.TypeFor[auth.FixedClock](), reflect.TypeFor[auth.Func](), reflect.TypeFor[auth.HMAC](), reflect.TypeFor[auth.HMACQuery](),
		reflect.TypeFor[auth.HTTPSignature](), reflect.TypeFor[auth.HTX](), reflect.TypeFor[auth.Header](), reflect.TypeFor[auth.HeaderForm](),
		reflect.TypeFor[auth.JWT](), reflect.TypeFor[auth.Kraken](), reflect.TypeFor[auth.Lane](), reflect.TypeFor[auth.Line](),
		reflect.TypeFor[auth.LocalClock](), reflect.TypeFor[auth.NonceFloor](), reflect.TypeFor[auth.NonceRaiser](),
		reflect.TypeFor[auth.NonceRule](), reflect.TypeFor[auth.Ordered](), reflect.TypeFor[auth.Part](), reflect.TypeFor[auth.Payload](),
		reflect.TypeFor[auth.PrivateKey](), reflect.TypeFor[auth.QueryForm](), reflect.TypeFor[auth.Ranger](), reflect.TypeFor[auth.Refusals](),
		reflect.TypeFor[auth.KeySender](), reflect.TypeFor[auth.Rejecter](), reflect.TypeFor[auth.Secret](), reflect.TypeFor[auth.SigV4](), reflect.TypeFor[auth.SignedQuery](),
		reflect.TypeFor[auth.Signer](), reflect.TypeFor[auth.TimeFormat](), reflect.TypeFor[auth.Unsigner](), reflect.TypeFor[auth.Validator](), reflect.TypeFor[auth.Window](),
		reflect.TypeFor[auth.WithoutBody](),
		reflect.TypeFor[oauth2.Error](), reflect.TypeFor[oauth2.Fetch](), reflect.TypeFor[oauth2.Options](), reflect.TypeFor[oauth2.Tokens](),
	},
	[]reflect.Type{
		reflect.TypeFor[throttle.Charged](), reflect.TypeFor[throttle.Class](), reflect.TypeFor[throttle.Cost](), reflect.TypeFor[throttle.Fate](),
		reflect.TypeFor[throttle.Hold](), reflect.TypeFor[throttle.Ledger](), reflect.TypeFor[throttle.Limit](), reflect.TypeFor[throttle.LimitError](),
		reflect.TypeFor[throttle.LimitSnapshot](), reflect.TypeFor[throttle.Link](), reflect.TypeFor[throttle.LostLimit](),
		reflect.TypeFor[throttle.Options](), reflect.TypeFor[throttle.Outcome](), reflect.TypeFor[throttle.Pacing](),
		reflect.TypeFor[throttle.PausedScope](), reflect.TypeFor[throttle.Permit](), reflect.TypeFor[throttle.Priority](),
		reflect.TypeFor[throttle.Reserve](), reflect.TypeFor[throttle.Kept](), reflect.TypeFor[throttle.Scope](), reflect.TypeFor[throttle.ScopeSnapshot](),
		reflect.TypeFor[throttle.Snapshot](), reflect.TypeFor[throttle.State](), reflect.TypeFor[throttle.Window](),
		reflect.TypeFor[feedback.Answer](), reflect.TypeFor[feedback.BodyCodes](), reflect.TypeFor[feedback.Clock](),
		reflect.TypeFor[feedback.Feedback](), reflect.TypeFor[feedback.Header](), reflect.TypeFor[feedback.HeaderUsage](),
		reflect.TypeFor[feedback.Reader](), reflect.TypeFor[feedback.ResetForm](), reflect.TypeFor[feedback.Usage](),
	},
	[]reflect.Type{
		reflect.TypeFor[engine.Charged](), reflect.TypeFor[engine.Explanation](), reflect.TypeFor[engine.Halt](), reflect.TypeFor[engine.HaltStats](),
		reflect.TypeFor[engine.HeldBy](), reflect.TypeFor[engine.Rehearsal](),
		reflect.TypeFor[throttle.By](), reflect.TypeFor[throttle.Filter](), reflect.TypeFor[throttle.Forecast](), reflect.TypeFor[throttle.ForeseenCharge](),
		reflect.TypeFor[throttle.Halt](), reflect.TypeFor[throttle.HaltError](), reflect.TypeFor[throttle.Halts](), reflect.TypeFor[throttle.Parts](),
		reflect.TypeFor[throttle.Subject](),
	},
	[]reflect.Type{
		reflect.TypeFor[engine.Failure](), reflect.TypeFor[engine.Failures](), reflect.TypeFor[engine.FanOut](), reflect.TypeFor[engine.Pending](),
		reflect.TypeFor[engine.Progress](), reflect.TypeFor[engine.Result](), reflect.TypeFor[engine.RunError](), reflect.TypeFor[engine.RunWait](),
	},
	[]reflect.Type{
		reflect.TypeFor[engine.CoalesceStats](), reflect.TypeFor[engine.Cursor](), reflect.TypeFor[engine.Event](), reflect.TypeFor[engine.EventsError](),
		reflect.TypeFor[engine.Interruption](), reflect.TypeFor[engine.Number](), reflect.TypeFor[engine.PageError](), reflect.TypeFor[engine.Pager](),
		reflect.TypeFor[engine.Subscription](),
	},
	[]reflect.Type{
		reflect.TypeFor[messages.Attempted](), reflect.TypeFor[messages.Ended](), reflect.TypeFor[messages.Observer](),
		reflect.TypeFor[messages.Timing](), reflect.TypeFor[messages.Waited](),
	},
	[]reflect.Type{
		reflect.TypeFor[engine.Memory](), reflect.TypeFor[engine.MemoryStats](), reflect.TypeFor[engine.Totals](), reflect.TypeFor[engine.Waiter](), reflect.TypeFor[engine.WaitsFor](),
		reflect.TypeFor[throttle.LeftOut](), reflect.TypeFor[throttle.Waiter](), reflect.TypeFor[inspect.Config](), reflect.TypeFor[inspect.Page](),
		reflect.TypeFor[throttle.Adopt](), reflect.TypeFor[throttle.Fee](), reflect.TypeFor[throttle.Note](), reflect.TypeFor[throttle.Params](),
		reflect.TypeFor[throttle.Past](), reflect.TypeFor[throttle.PastCharge](), reflect.TypeFor[throttle.PastFlight](),
		reflect.TypeFor[throttle.PastLost](), reflect.TypeFor[throttle.PastMeter](), reflect.TypeFor[throttle.PastPause](),
		reflect.TypeFor[throttle.Restored](), reflect.TypeFor[throttle.Apart](),
		reflect.TypeFor[throttle.Recorder](), reflect.TypeFor[throttle.Spent](), reflect.TypeFor[throttle.Tariff](), reflect.TypeFor[throttle.Told](),
		reflect.TypeFor[throttle.Tariffs](), reflect.TypeFor[throttle.Terms](),
	},
)

const module = "github.com/sluice-engine/sluice/"

// nameOf is a type's folder and name, as "auth/oauth2.Tokens".
func nameOf(t reflect.Type) string { return strings.TrimPrefix(t.PkgPath(), module) + "." + t.Name() }

// root is the folder of the module, looked for above the working directory.
func root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", fmt.Errorf("no go.work above the working directory: the source is needed")
		}
		dir = above
	}
	return "", err
}

// Declared returns the exported types that the source of the public packages below a
// folder declares.
func Declared(folder string) (names []string, err error) {
	for _, pkg := range folders {
		dir := filepath.Join(folder, filepath.FromSlash(pkg))
		isSource := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
		//lint:ignore SA1019 what is declared is wanted, whatever the build tags
		packages, err := parser.ParseDir(token.NewFileSet(), dir, isSource, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			for _, file := range p.Files {
				for _, name := range declaredIn(file) {
					names = append(names, pkg+"."+name)
				}
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

func declaredIn(file *ast.File) (names []string) {
	for _, declaration := range file.Decls {
		general, ok := declaration.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		for _, spec := range general.Specs {
			// An alias names a type of another package, where it is declared.
			if t := spec.(*ast.TypeSpec); t.Name.IsExported() && !t.Assign.IsValid() {
				names = append(names, t.Name.Name)
			}
		}
	}
	return names
}

// Missing returns the declared types that nobody looks at.
func Missing(declared []string) (missing []string) {
	known := map[string]bool{}
	for _, t := range types {
		known[nameOf(t)] = true
	}
	for _, name := range declared {
		if !known[name] {
			missing = append(missing, name)
		}
	}
	return missing
}
