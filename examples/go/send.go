// Sends the events on standard input, one JSON object per line, and returns when all of them are stored.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

var client = http.Client{Timeout: 60 * time.Second}

// attempt sends a body once. Without a complete response the status is 0, and the event may or may not be stored.
func attempt(body []byte) (int, string) {
	request, err := http.NewRequest("POST", server()+"/v1/audit-log", bytes.NewReader(body))
	check(err)
	request.Header.Set("Authorization", "Bearer "+os.Getenv("AUDITBOX_TOKEN"))
	answer, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(text)
}

func main() {
	for events := json.NewDecoder(os.Stdin); events.More(); {
		var event map[string]json.RawMessage
		check(events.Decode(&event))
		if event["identifier"] == nil { // the same at each attempt, so that the server stores the event once
			random := make([]byte, 16)
			_, err := rand.Read(random)
			check(err)
			event["identifier"] = json.RawMessage(fmt.Sprintf("\"%x\"", random))
		}
		body, err := json.Marshal(event)
		check(err)
		for wait := time.Second; ; {
			status, text := attempt(body)
			if status == 200 || status == 201 {
				break
			} else if status != 0 && status != 429 && status < 500 {
				log.Fatalf("refused with status %d: %s", status, text)
			}
			log.Printf("not stored yet (status %d: %s), trying again in %s", status, text, wait)
			time.Sleep(wait)
			if wait *= 2; wait > time.Minute {
				wait = time.Minute
			}
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
