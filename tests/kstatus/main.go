// Says what GitOps tools make of objects: kstatus (Flux, kpt, Helm 4) and Argo CD with our health script.
//
// Reads from standard input a JSON list of {"name": …, "object": …}, prints one line for each: NAME KSTATUS ARGO.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type fixture struct {
	Name   string         `json:"name"`
	Object map[string]any `json:"object"`
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(script string) error {
	var fixtures []fixture
	if err := json.NewDecoder(os.Stdin).Decode(&fixtures); err != nil {
		return err
	}
	for _, f := range fixtures {
		computed, err := status.Compute(&unstructured.Unstructured{Object: whole(f.Object).(map[string]any)})
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		health, err := argo(script, f.Object)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		fmt.Println(f.Name, computed.Status, health)
	}
	return nil
}

// whole makes whole numbers of those that JSON reading made floating, as unstructured objects have them.
func whole(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = whole(inner)
		}
		return v
	case []any:
		for i, inner := range v {
			v[i] = whole(inner)
		}
		return v
	case float64:
		return int64(v)
	}
	return value
}

// argo runs the script as Argo CD does: without libraries that reach outside, the object as the global `obj`.
func argo(script string, object map[string]any) (string, error) {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath} {
		l.Push(l.NewFunction(open))
		l.Call(0, 0)
	}
	l.SetGlobal("obj", table(l, object))
	if err := l.DoFile(script); err != nil {
		return "", err
	}
	answer, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		return "", fmt.Errorf("the script returned %s", l.Get(-1).Type())
	}
	return lua.LVAsString(answer.RawGetString("status")), nil
}

func table(l *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case map[string]any:
		t := l.NewTable()
		for key, inner := range v {
			t.RawSetString(key, table(l, inner))
		}
		return t
	case []any:
		t := l.NewTable()
		for _, inner := range v {
			t.Append(table(l, inner))
		}
		return t
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	}
	return lua.LNil
}
