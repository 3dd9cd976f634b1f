exports.name = "a helper";
