/** The metadata that asks for faults. */
export const faultName = 'x-greeter-fault';

/** The metadata of a response that lists the injected faults. */
export const injectedName: `x-${string}` = 'x-greeter-fault-injected';

/** The header of a response that lists the faults that are to be injected, as far as it lasts until they are due. */
export const chosenName = 'x-greeter-fault-chosen';

/** The trailer of a call that was served without its faults, as too many calls had some. */
export const overflowName = 'x-greeter-fault-overflow';
