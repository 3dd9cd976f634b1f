"""The guide's handler, word for word, over a small order book."""

ORDERS = {
    "A-482": {"order_id": "A-482", "status": "shipped", "carrier": "Northwind Parcel", "eta": "2026-04-28"},
    "A-517": {"order_id": "A-517", "status": "processing", "carrier": None, "eta": "2026-05-02"},
    "B-203": {"order_id": "B-203", "status": "delivered", "carrier": "Northwind Parcel", "eta": None},
}


def lookup_order(order_id):
    return ORDERS.get(order_id, {"error": f"no order {order_id}"})


def cancel_order(order_id, reason=None):
    order = lookup_order(order_id)
    if order.get("status") == "processing":
        return {**order, "status": "cancelled", "reason": reason}
    return {"error": f"order {order_id} cannot be cancelled", "status": order.get("status")}


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
