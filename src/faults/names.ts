/** The metadata that asks for faults. */
export const faultName = 'x-greeter-fault';

/** The metadata of a response that lists the injected faults. */
export const injectedName: `x-${string}` = 'x-greeter-fault-injected';
