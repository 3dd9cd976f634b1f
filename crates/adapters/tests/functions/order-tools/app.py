# A handler as the service's guide has it, with a small order book behind it. It knows nothing of
# Outcrop: the same file deploys to Lambda.

ORDERS = {
    "A-482": {"status": "in transit", "eta": "2026-05-02"},
    "A-483": {"status": "processing", "eta": "2026-05-09"},
}


def lookup_order(order_id):
    return ORDERS.get(order_id, {"error": f"no order {order_id}"})


def cancel_order(order_id, reason):
    if ORDERS.get(order_id, {}).get("status") != "processing":
        return {"cancelled": False}
    return {"cancelled": True, "reason": reason}


def lambda_handler(event, context):
    action_group = event["actionGroup"]
    function = event.get("function") or event.get("apiPath")
    params = {p["name"]: p["value"] for p in event.get("parameters", [])}
    if function == "get_order_status":
        result = lookup_order(params["order_id"])
    elif function == "cancel_order":
        result = cancel_order(params["order_id"], params.get("reason"))
    else:
        result = {"error": f"unknown function {function}"}
    return {
        "messageVersion": "1.0",
        "response": {
            "actionGroup": action_group,
            "function": function,
            "functionResponse": {
                "responseBody": {"application/json": {"body": str(result)}},
            },
        },
    }
