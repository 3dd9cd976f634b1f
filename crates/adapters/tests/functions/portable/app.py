def handler(event, context):
    if event is None:
        raise ValueError("nothing é")
    return {"event": event, "left_ms": context.get_remaining_time_in_millis() > 0}
