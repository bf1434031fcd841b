// Signs a body as the senders' own libraries do. Reads { body, id, seconds, keys } and prints the headers of each sender.
import { readFileSync } from "node:fs";
import { Webhooks } from "@octokit/webhooks";
import { Webhook as StandardWebhook } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as SvixWebhook } from "svix";

const { body, id, seconds, keys } = JSON.parse(readFileSync(0, "utf8"));
const time = new Date(seconds * 1000);
const stripe = { payload: body, secret: keys.stripe, timestamp: seconds };
console.log(
  JSON.stringify({
    github: {
      "x-github-delivery": id,
      "x-hub-signature-256": await new Webhooks({ secret: keys.github }).sign(body),
    },
    stripe: { "stripe-signature": Stripe.webhooks.generateTestHeaderString(stripe) },
    "standard-webhooks": {
      "webhook-id": id,
      "webhook-timestamp": String(seconds),
      "webhook-signature": new StandardWebhook(keys["standard-webhooks"]).sign(id, time, body),
    },
    svix: {
      "svix-id": id,
      "svix-timestamp": String(seconds),
      "svix-signature": new SvixWebhook(keys.svix).sign(id, time, body),
    },
  }),
);
