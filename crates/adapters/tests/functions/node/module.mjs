export const handler = async (event) => ({ event, required: typeof require });
