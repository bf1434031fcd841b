// Prints the stored events, one per line, in order of arrival, from the beginning and then as they arrive. After a
// restart it continues after the last printed page. Usage: follow CURSOR_FILE [FILTER], with a filter such as
// `status=FAILURE`.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

var client = http.Client{Timeout: 60 * time.Second}

// get requests a page once.
func get(url string) (int, []byte, error) {
	request, err := http.NewRequest("GET", url, nil)
	check(err)
	request.Header.Set("Authorization", "Bearer "+os.Getenv("AUDITBOX_TOKEN"))
	answer, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, text, err
}

func main() {
	file := os.Args[1]
	query := "?sort=received&order=asc&limit=1000&" + strings.Join(os.Args[2:], "&")
	for {
		url := server() + "/v1/audit-log" + query
		if cursor, err := os.ReadFile(file); err == nil {
			url += "&cursor=" + string(cursor)
		} else if !os.IsNotExist(err) {
			log.Fatal(err)
		}
		status, text, err := get(url)
		if err != nil || status == 429 || status >= 500 {
			log.Printf("no answer (status %d, %v), trying again", status, err)
			time.Sleep(2 * time.Second)
			continue
		} else if status == 422 {
			log.Fatalf("refused: %s\nIf it is the cursor: the log was restored from a backup. Delete %s to begin again.", text, file)
		} else if status != 200 {
			log.Fatalf("refused with status %d: %s", status, text)
		}
		var page struct {
			Audits  []json.RawMessage
			Next    string
			Damaged json.RawMessage
		}
		check(json.Unmarshal(text, &page))
		for _, event := range page.Audits {
			fmt.Println(string(event))
		}
		if page.Damaged != nil {
			log.Printf("events that are damaged in the log: %s", page.Damaged)
		}
		// The cursor is saved only now, so a printed page is not requested again and no page is skipped.
		check(os.WriteFile(file+".new", []byte(page.Next), 0o600))
		check(os.Rename(file+".new", file))
		if len(page.Audits) == 0 {
			time.Sleep(2 * time.Second)
		}
	}
}

func server() string {
	if url := os.Getenv("AUDITBOX_URL"); url != "" {
		return url
	}
	return "http://127.0.0.1:8686"
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
